"""The room that joins the others: what each command does, from files to files, as one function per command.

Nothing here prints or exits, and nothing is imported until a command is called: the other rooms are heavy.
"""
