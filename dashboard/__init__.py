"""The dashboard: reads the store through service.reporting, shows it with Streamlit."""
