"""What tokens cost: money, price cards, rating, and the catalog in the store."""
