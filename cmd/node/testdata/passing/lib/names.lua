return { channel = function(room) return "room:" .. room end }
