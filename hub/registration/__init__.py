"""Registration: who and what the hub knows. The catalogue (目录), machine accounts and counter clerks."""
