"""What runs a training: slices of epochs, the loop that suits a model, the search for a learning rate, and its net."""
