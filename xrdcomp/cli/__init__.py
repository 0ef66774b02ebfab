"""The command line: a shell over pipeline and present that computes nothing."""
