"""How a car drives on roads: ways on the road map, and the programs that follow them."""
