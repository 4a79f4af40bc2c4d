"""The version of the package, which is that of the library that it wants."""

VERSION = "0.1.0"
