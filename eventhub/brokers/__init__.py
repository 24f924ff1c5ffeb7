"""The contract between EventHub and a broker, and the registry of those who keep it."""
