"""Matplotlib figures in one style; `style` holds the colours and writes the PNG files."""
