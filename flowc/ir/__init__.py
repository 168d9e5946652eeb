"""The intermediate representation: types, graph, function, text, loops. Nothing here knows a single op by name."""
