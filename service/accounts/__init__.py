"""People who use the dashboard: accounts, passwords, one-time links, sessions, sign-in.

registry   `AccountRegistry`: everything that happens to an account, audited; the methods take a transaction
sign_in    `SignIn`: a password at the door, slowed down and throttled; takes the store, hashes outside transactions
passwords  `Passwords`: which ones will do, and Argon2
values     accounts, sessions, identities as values, and their rules (pure)
links, sessions, throttle: their tables, for the two above
"""
