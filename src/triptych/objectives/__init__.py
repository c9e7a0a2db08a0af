"""What each family minimises."""
