from edugraph_cli.main import main

main()
