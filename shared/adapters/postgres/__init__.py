"""PostgreSQL: the truth. SQL stands here alone, each statement with the guard the domain asks for."""
