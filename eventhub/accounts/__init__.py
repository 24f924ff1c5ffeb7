"""Who may do what: roles and ways to sign in."""
