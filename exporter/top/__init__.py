"""The command `top`: what each GPU does and for whom, as a table in the terminal."""
