"""The books: record, journal, recorder, writer and recovery. Nothing that enters is lost or counted twice."""
