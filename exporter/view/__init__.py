"""What the GPUs of a page are doing, for people: the page at / and the table of `top`, both made of a page's series."""
