"""What follows from the analyses: red flags, the headline, the rows to look at."""
