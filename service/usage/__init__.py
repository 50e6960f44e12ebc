"""What an answer says about itself: tokens, finish, errors. Pure: bytes in, facts out."""
