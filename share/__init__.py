"""What is shipped beside the package: completions for three shells, and a manual page, made from the command itself."""
