"""What all stores share of sending: parts, what is under way at once, the digest, answers that are lost."""
