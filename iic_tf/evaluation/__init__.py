"""What a network makes of images, and how good that is: inference, health, scores."""
