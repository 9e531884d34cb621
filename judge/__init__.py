"""rmjudge: label text with language model judges, and train reward models on the labels."""
