return { request = request }
