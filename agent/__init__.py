"""The service: it receives studies, queues them, drafts reports and delivers them to the PACS."""
