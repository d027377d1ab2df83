"""What goes to the Hub: folders that work without this package, their cards, and publishing."""
