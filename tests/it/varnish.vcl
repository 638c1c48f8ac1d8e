vcl 4.1;

# A cache before the sample shop, for the tests. ORIGIN_HOST and ORIGIN_PORT are filled in when it starts.
backend shop {
    .host = "ORIGIN_HOST";
    .port = "ORIGIN_PORT";
}

acl operators {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "BAN") {
        if (client.ip !~ operators) {
            return (synth(403, "BAN is for operators"));
        }
        # The path becomes a part of an expression: nothing in it may end the expression or begin another.
        if (req.url !~ "^/[A-Za-z0-9_/.-]*$") {
            return (synth(400, "BAN wants a plain path"));
        }
        # A dot is a dot here, not any character.
        ban("req.url ~ ^" + regsuball(req.url, "\.", "[.]"));
        return (synth(200, "banned"));
    }
    if (req.url ~ "^/admin(/|$)") {
        return (pass);
    }
}

sub vcl_deliver {
    # The shop has a cache of its own; what counts here is ours.
    if (obj.hits > 0) {
        set resp.http.x-cache = "HIT";
    } else {
        set resp.http.x-cache = "MISS";
    }
}
