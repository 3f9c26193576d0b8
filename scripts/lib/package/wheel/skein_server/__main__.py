from skein_server import main

main()
