def write_pages(settings, book, folder): return folder
