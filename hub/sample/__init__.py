"""The sample city: a catalogue, accounts and cases as plain files, and their loader."""
