"""What can be trained, a file each: clustering, segmentation."""
