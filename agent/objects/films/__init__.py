"""Which films of a study may be drafted: routing by what each of them shows, and how they are chosen."""
