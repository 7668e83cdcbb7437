"""How single packages are built otherwise: settings as data, by one precedence."""
