"""The other servers: each file is a program, or what a serving framework loads.

They run in virtual environments of their own and import nothing of this project but the
wire's stubs.
"""
