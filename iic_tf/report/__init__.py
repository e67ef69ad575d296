"""What a person sees: console, learning curve, plots."""
