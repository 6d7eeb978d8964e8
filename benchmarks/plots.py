def write_plots(folder, results):
    return {}
