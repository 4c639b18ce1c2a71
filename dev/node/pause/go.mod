module tolstoy.dev/dev/node/pause

go 1.26.0
