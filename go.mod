module brume

go 1.26
