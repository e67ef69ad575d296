"""Augmented views: transforms of images, and the tf.data pipelines that pair them."""
