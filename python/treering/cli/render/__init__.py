"""What commands print: layout and colour, nothing of what to print or when."""
