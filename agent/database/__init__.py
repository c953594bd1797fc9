"""Tables, transactions, the database's time, migrations, backups."""
