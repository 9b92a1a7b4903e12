"""The sample city: a catalogue, accounts and cases as plain files, and the loader that plays them."""
