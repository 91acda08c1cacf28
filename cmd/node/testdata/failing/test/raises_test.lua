local helper = require("missing")
