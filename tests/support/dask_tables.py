"""Rows for estimators on Dask collections."""

N_ROWS = 400
QUICK = {"random_state": 0, "replicas": 3, "max_iter": 5, "tol": None}


def chunked(*arrays, rows=90):
    import dask.array as da

    return [da.from_array(each, chunks=(rows, *each.shape[1:])) for each in arrays]
