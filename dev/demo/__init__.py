"""The product in front of a newcomer: real parts, a story in chapters, each of them checked."""
