"""What is kept about a cycle when it has ended: figures for programs, and one page with plots for people."""
