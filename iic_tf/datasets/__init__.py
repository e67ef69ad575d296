"""Where images and masks come from: files, folders, arrays, published sets."""
