"""How long the stages will take on this machine, said before they start."""
