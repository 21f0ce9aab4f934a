"""Which Troth this is: claims may say it, and rooms may not look up to the package itself."""

VERSION = "0.1.0"
